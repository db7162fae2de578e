"""One host, many processes: what the processes of a service on one host share without any server."""
