"""Collection of on-policy experience: collector, storage, advantage estimation."""
