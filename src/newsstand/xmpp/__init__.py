"""XEP-0060 as XML (requests, answers, notifications, items), and the port that an XMPP library is adapted to."""
