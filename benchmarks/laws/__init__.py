"""The laws of SEEM: what is measured, what is expected of it, and the figures."""
