"""Split CPU work across local processes; kill any of them and lose nothing."""
