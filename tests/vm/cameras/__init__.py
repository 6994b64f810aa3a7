"""Simulated USB webcams on the kernel's virtual USB host (vhci_hcd), and the program that plugs them in."""
