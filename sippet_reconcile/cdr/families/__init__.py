"""What several formats share: Asterisk's columns, FreeSWITCH's variables and links, causes, addresses, ways to judge."""
