"""Ways to learn that devices have come or gone."""
