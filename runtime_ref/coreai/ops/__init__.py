"""What each operation of Core AI computes; the definitions are those of the dialect in coreai-core."""
