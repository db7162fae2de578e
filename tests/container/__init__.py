"""The Dockerfile and the application's Dockerfile of the documentation, built and run: `make container`."""
