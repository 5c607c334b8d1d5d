// Talks to the MCP server that the arguments start, with the protocol's own client,
// and prints what it answers.
// usage: node mcp.js COMMAND [ARG]...
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

const [command, ...args] = process.argv.slice(2);
const print = (name, value) => console.log(JSON.stringify({ [name]: value }));

const transport = new StdioClientTransport({ command, args, env: process.env });
const client = new Client({ name: "banger-test", version: "1" });
client.onerror = (error) => {
  console.error(error);
  process.exitCode = 1;
};
await client.connect(transport);
print("server", client.getServerVersion());
print("tools", (await client.listTools()).tools.map((tool) => tool.name));
print("resources", (await client.listResources()).resources.length);
for (let n = 0; n < 20; n++) {
  // Many at once, of all sizes: a frame that is torn or twice is an error here.
  const echoes = Array.from({ length: 20 }, (_, k) =>
    client.callTool({ name: "echo", arguments: { message: `${n} ${k} ` + "é".repeat(n * k * 50) } }),
  );
  const texts = (await Promise.all(echoes)).map((result) => result.content[0].text);
  print("echoes", texts.map((text) => text.length));
}
await client.close();
