"""Any backend behind ZeroMQ sockets."""
