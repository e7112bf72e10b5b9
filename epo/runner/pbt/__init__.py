"""Population based training: members in one process or as processes that share a folder."""
