"""Several hosts: network namespaces, each with its own name, address and resolver."""
