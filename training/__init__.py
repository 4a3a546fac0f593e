"""Networks on tiles, the Siamese update, and the ledger of what every write costs."""
