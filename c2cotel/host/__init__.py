"""What the processes of one service on one host share: kept requests and requests in progress."""
