"""Has the MCP client talk to the server that the arguments start, and prints its answers.

usage: mcp_client.py TOOL ARGUMENTS COMMAND [ARG]...
"""

import asyncio
import json
import os
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main() -> None:
    tool, arguments, command, *args = sys.argv[1:]
    server = StdioServerParameters(command=command, args=args, env=dict(os.environ))
    async with stdio_client(server) as streams, ClientSession(*streams) as session:
        await session.initialize()
        listed = await session.list_tools()
        print(json.dumps([t.model_dump(mode="json") for t in listed.tools], sort_keys=True))
        # Many at once: a message that is torn or lost is an error here.
        for _ in range(5):
            results = await asyncio.gather(*(session.call_tool(tool, json.loads(arguments)) for _ in range(10)))
            for result in results:
                print([c.text for c in result.content if c.type == "text"])


asyncio.run(main())
