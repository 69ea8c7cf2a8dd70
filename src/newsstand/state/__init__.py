"""What this process knows of the copies, in parts, and what all parts of a replica share."""
