"""The version of all three distributions."""

VERSION = "0.1.0"
