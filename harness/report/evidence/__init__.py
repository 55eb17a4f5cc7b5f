"""Where a difference comes from: regions, confusions and images."""
