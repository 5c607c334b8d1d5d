package api_test

import (
	"fmt"

	"banger"
	"banger/api"
)

// A cursor in a query string is the position in both streams.
func Example() {
	text := api.FormatCursor(banger.LogCursor{Stdout: 1200, Stderr: 7})
	cursor, err := api.ParseCursor(text)
	fmt.Println(text, cursor.Stdout, cursor.Stderr, err)
	// Output: 1200,7 1200 7 <nil>
}
