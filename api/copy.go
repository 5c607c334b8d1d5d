package api

import (
	"net/http"

	"banger"
)

// CopyProtocol is what is spoken on the connection of a copy, as the header Upgrade has it.
const CopyProtocol = "banger-copy"

// CopyFiles copies files to or from a VM.
var CopyFiles = upgrade[VMRef](Route{
	ID: "copyFiles", Method: http.MethodPost, Path: vmPath + "/copy", Summary: "Upgrade this connection to one copy of files to or from a VM.",
	Description: "The request has the headers `Connection: Upgrade` and `Upgrade: " + CopyProtocol + "`, and no body. After the answer both sides speak the protocol of docs/COPY.md. " +
		"A client need not wait for the answer: what it sends after the request belongs to the copy.",
	Upgrade: CopyProtocol, Errors: codes(banger.CodeState),
})

func copyRoutes() []Route { return []Route{CopyFiles.Route} }
