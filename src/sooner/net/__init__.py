"""Sockets, TLS, streams, pipes: what completes futures from outside."""
