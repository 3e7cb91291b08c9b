"""Faults between a client and a server, in any language; needs no pytest."""
