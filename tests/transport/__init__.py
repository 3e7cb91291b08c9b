"""Tests of servers, servicers and processes."""
