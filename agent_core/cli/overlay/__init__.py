"""Changes of the overlay of plugins by the command line: each makes a new build beside the old one, and swaps them."""
