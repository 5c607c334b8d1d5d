// Talks to the language server that the arguments start, with the client library of
// VS Code, and prints what it says of a program in Python.
// usage: node lsp.js FOLDER COMMAND [ARG]...
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import * as lsp from "vscode-languageserver-protocol/node";

const [folder, command, ...args] = process.argv.slice(2);
const uriOf = (name) => pathToFileURL(join(folder, name)).href;
// What is printed depends on neither the folder nor this run.
const print = (name, value) =>
  console.log(JSON.stringify({ [name]: value }).replaceAll(pathToFileURL(folder).href, ""));

const server = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
const ended = new Promise((resolve) => server.on("exit", (code, signal) => resolve(code ?? signal)));
const connection = lsp.createProtocolConnection(
  new lsp.StreamMessageReader(server.stdout),
  new lsp.StreamMessageWriter(server.stdin),
);
connection.onError((error) => {
  console.error(error);
  process.exitCode = 1;
});
let report;
connection.onNotification(lsp.PublishDiagnosticsNotification.type, (params) => report?.(params));
const diagnosticsOf = (uri, are) =>
  new Promise((resolve) => {
    report = (params) => {
      if (params.uri === uri && are(params.diagnostics)) resolve(params.diagnostics.map((d) => d.message));
    };
  });
for (const ask of [lsp.RegistrationRequest, lsp.WorkDoneProgressCreateRequest]) {
  connection.onRequest(ask.type, () => null);
}
connection.onRequest(lsp.ConfigurationRequest.type, ({ items }) => items.map(() => null));
connection.listen();

const { capabilities } = await connection.sendRequest(lsp.InitializeRequest.type, {
  processId: null,
  rootUri: uriOf(""),
  workspaceFolders: [{ uri: uriOf(""), name: "program" }],
  capabilities: { textDocument: { publishDiagnostics: {} } },
});
print("server", Object.keys(capabilities).sort());
await connection.sendNotification(lsp.InitializedNotification.type, {});

const uri = uriOf("main.py");
const text = readFileSync(join(folder, "main.py"), "utf8");
const broken = diagnosticsOf(uri, (found) => found.length > 0);
await connection.sendNotification(lsp.DidOpenTextDocumentNotification.type, {
  textDocument: { uri, languageId: "python", version: 1, text },
});
print("diagnostics", await broken);

const at = (what) => {
  const before = text.slice(0, text.indexOf(what)).split("\n");
  return { textDocument: { uri }, position: { line: before.length - 1, character: before.at(-1).length } };
};
print("hover", await connection.sendRequest(lsp.HoverRequest.type, at("greet(")));
print("definition", await connection.sendRequest(lsp.DefinitionRequest.type, at("greeting + ")));
print("symbols", await connection.sendRequest(lsp.DocumentSymbolRequest.type, { textDocument: { uri } }));
print("rename", await connection.sendRequest(lsp.RenameRequest.type, { ...at("greet("), newName: "welcome" }));

// The file grows with every change, and each change is one message of that size.
for (let version = 2; version < 30; version++) {
  const longer = text.replace("undefined()", "") + `\n# ${"x".repeat(version * 2000)}\n`;
  const whole = diagnosticsOf(uri, (found) => found.length === 0);
  await connection.sendNotification(lsp.DidChangeTextDocumentNotification.type, {
    textDocument: { uri, version },
    contentChanges: [{ text: longer }],
  });
  if (version === 2) print("mended", await whole);
  const references = await connection.sendRequest(lsp.ReferencesRequest.type, {
    ...at("greet("),
    context: { includeDeclaration: true },
  });
  print("references", references);
}
await connection.sendRequest(lsp.ShutdownRequest.type);
await connection.sendNotification(lsp.ExitNotification.type);
print("exit", await ended);
connection.dispose();
