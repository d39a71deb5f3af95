"""The only aiohttp client: connection pools, retries, the shared rate limit, links outside the API."""
