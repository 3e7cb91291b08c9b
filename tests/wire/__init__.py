"""The wire contract as old stages know it."""
