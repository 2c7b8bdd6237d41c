"""Arrays -> numbers: tracking (`mot`), ReID (`ranking`), a partition of tracklets into people (`partition`), finding a
person in whole pictures (`person_search`), people who return (`reassociation`); how a result was made (`manifest`)
and how it is shown (`report`)."""
