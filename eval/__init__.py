"""Arrays -> numbers: tracking (`mot`), ReID (`ranking`), and how a result was made (`manifest`, `report`)."""
