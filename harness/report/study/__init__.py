"""Results -> the record of a study: estimates, claims, ranking, attribution, notes."""
