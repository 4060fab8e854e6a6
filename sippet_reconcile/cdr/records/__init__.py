"""From bytes to a raw table: delimited lines, JSON, XML and SQL statements; each record is one row, broken or not."""
