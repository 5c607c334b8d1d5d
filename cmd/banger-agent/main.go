// Command banger-agent is what banger runs in guests; see package agent.
package main

import (
	"os"

	"banger/internal/agent"
)

func main() { os.Exit(agent.Main(os.Args)) }
