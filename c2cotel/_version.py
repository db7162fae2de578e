"""The version of all three distributions."""

VERSION = "0.2.0"
