"""The statsd protocol, read strictly: lines and what they add up to."""
