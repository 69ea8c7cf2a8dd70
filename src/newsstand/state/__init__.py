"""What this process knows of the copies, and what the parts of a replica share."""
