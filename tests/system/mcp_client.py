"""An agent's side of the Model Context Protocol, by its official package.

Starts the server that its command line names, makes the calls that stand as JSON on standard
input, one a line as `[tool, arguments]`, and prints what each gave, one a line.
"""

import json
import os
import sys

import anyio
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import CallToolResult, TextContent


async def main() -> None:
    calls = [json.loads(line) for line in sys.stdin]
    server = StdioServerParameters(command=sys.argv[1], args=sys.argv[2:], env=dict(os.environ))
    async with (
        stdio_client(server) as (receiving, sending),
        ClientSession(receiving, sending) as session,
    ):
        started = await session.initialize()
        tools = await session.list_tools()
        say({"version": started.protocol_version, "tools": [one.name for one in tools.tools]})
        for tool, arguments in calls:
            found = await session.call_tool(tool, arguments)
            assert isinstance(found, CallToolResult)
            (words,) = found.content
            assert isinstance(words, TextContent)
            about = {"is_error": found.is_error, "about": found.structured_content}
            say({**about, "said": words.text})


def say(about: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(about) + "\n")
    sys.stdout.flush()


anyio.run(main)
