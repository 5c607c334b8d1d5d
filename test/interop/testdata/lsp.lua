-- Has neovim's LSP client talk to the server that the arguments behind the file start, and
-- prints what it answers about the word "greet" in that file.
local argv = vim.fn.argv()
local file = table.remove(argv, 1)
vim.cmd("edit " .. file)
local buffer = vim.api.nvim_get_current_buf()
local client
local diagnosed = false
local function quit(message)
  io.stderr:write(message .. "\n")
  vim.cmd("cquit 1")
end
local ended = nil
client = vim.lsp.start_client({
  name = "server", cmd = argv, root_dir = vim.fn.getcwd(),
  handlers = {
    ["textDocument/publishDiagnostics"] = function(_, result)
      if #result.diagnostics > 0 then diagnosed = true end
    end,
  },
  -- A server ends when this process has ended; on another machine it would look for another
  -- process, or for none.
  before_init = function(params) params.processId = vim.NIL end,
  on_exit = function(code) ended = code end,
})
if client == nil then quit("the client did not start") end
vim.lsp.buf_attach_client(buffer, client)
if not vim.wait(120000, function() return diagnosed end, 20) then quit("no diagnostics") end

local text = table.concat(vim.api.nvim_buf_get_lines(buffer, 0, -1, false), "\n")
local before = text:sub(1, text:find("greet") - 1)
local line = select(2, before:gsub("\n", ""))
local place = {
  textDocument = { uri = vim.uri_from_bufnr(buffer) },
  position = { line = line, character = #before - (before:match(".*\n()") or 1) + 1 },
}
local function ask(method, more)
  local answers, err = vim.lsp.buf_request_sync(buffer, method, vim.tbl_extend("force", place, more or {}), 120000)
  if answers == nil then quit(method .. ": " .. tostring(err)) end
  local answer = answers[client]
  if answer.err ~= nil then quit(method .. ": " .. vim.inspect(answer.err)) end
  -- The keys of a table come in no order.
  io.stdout:write(method .. " " .. vim.inspect(answer.result):gsub("%s+", " ") .. "\n")
end
ask("textDocument/hover")
ask("textDocument/references", { context = { includeDeclaration = true } })
ask("textDocument/documentSymbol")
ask("textDocument/rename", { newName = "welcome" })
vim.lsp.stop_client(client)
if not vim.wait(60000, function() return ended ~= nil end, 20) then quit("the server does not end") end
if ended ~= 0 then quit("the server ended with " .. ended) end
vim.cmd("qall!")
