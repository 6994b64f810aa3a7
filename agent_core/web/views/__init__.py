"""Views of cameras over HTTP: pictures and live pictures."""
