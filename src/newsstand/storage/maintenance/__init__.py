"""Work on a database as a whole: checking, repairing, copying and backing up."""
