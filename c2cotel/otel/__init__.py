"""What c2cotel needs of OpenTelemetry beyond its public doors: private names, contrib's instrumentors, HTTP verbs."""
