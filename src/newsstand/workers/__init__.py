"""Several workers on one database: who follows which node, and what is in doubt."""
