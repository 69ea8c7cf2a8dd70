"""XEP-0060 as XML, and the port: what Newsstand needs of an XMPP library."""
