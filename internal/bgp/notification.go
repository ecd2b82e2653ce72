package bgp

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// notification is what a NOTIFICATION says (RFC 4271 section 4.5).
type notification struct {
	code, subcode uint8
	data          []byte
}

// Codes and subcodes of IANA's registry "BGP Error (Notification) Codes" that are written about below, or sent.
const (
	headerError = 1
	openError   = 2
	fsmError    = 5
	cease       = 6

	notSynchronized = 1
	badLength       = 2
	badType         = 3

	badVersion            = 1
	badPeerAS             = 2
	unsupportedCapability = 7

	administrativeShutdown   = 2
	peerDeconfigured         = 3
	administrativeReset      = 4
	otherConfigurationChange = 6
	collisionResolution      = 7
	hardReset                = 9
	bfdDown                  = 10
)

var errorCodes = map[uint8]string{
	headerError: "Message Header Error",
	openError:   "OPEN Message Error",
	3:           "UPDATE Message Error",
	4:           "Hold Timer Expired",
	fsmError:    "Finite State Machine Error",
	cease:       "Cease",
	7:           "ROUTE-REFRESH Message Error", // RFC 7313
	8:           "Send Hold Timer Expired",     // RFC 9687
}

var errorSubcodes = map[[2]uint8]string{
	{headerError, notSynchronized}: "Connection Not Synchronized",
	{headerError, badLength}:       "Bad Message Length",
	{headerError, badType}:         "Bad Message Type",

	{openError, badVersion}:            "Unsupported Version Number",
	{openError, badPeerAS}:             "Bad Peer AS",
	{openError, 3}:                     "Bad BGP Identifier",
	{openError, 4}:                     "Unsupported Optional Parameter",
	{openError, 5}:                     "Authentication Failure", // deprecated
	{openError, 6}:                     "Unacceptable Hold Time",
	{openError, unsupportedCapability}: "Unsupported Capability", // RFC 5492
	{openError, 11}:                    "Role Mismatch",          // RFC 9234

	{3, 1}:  "Malformed Attribute List",
	{3, 2}:  "Unrecognized Well-known Attribute",
	{3, 3}:  "Missing Well-known Attribute",
	{3, 4}:  "Attribute Flags Error",
	{3, 5}:  "Attribute Length Error",
	{3, 6}:  "Invalid ORIGIN Attribute",
	{3, 8}:  "Invalid NEXT_HOP Attribute",
	{3, 9}:  "Optional Attribute Error",
	{3, 10}: "Invalid Network Field",
	{3, 11}: "Malformed AS_PATH",

	// RFC 6608
	{fsmError, 1}: "Receive Unexpected Message in OpenSent State",
	{fsmError, 2}: "Receive Unexpected Message in OpenConfirm State",
	{fsmError, 3}: "Receive Unexpected Message in Established State",

	// RFC 4486
	{cease, 1}:                        "Maximum Number of Prefixes Reached",
	{cease, administrativeShutdown}:   "Administrative Shutdown",
	{cease, peerDeconfigured}:         "Peer De-configured",
	{cease, administrativeReset}:      "Administrative Reset",
	{cease, 5}:                        connectionRejected,
	{cease, otherConfigurationChange}: "Other Configuration Change",
	{cease, collisionResolution}:      "Connection Collision Resolution",
	{cease, 8}:                        "Out of Resources",
	{cease, hardReset}:                "Hard Reset", // RFC 8538
	{cease, bfdDown}:                  "BFD Down",   // RFC 9384

	{7, 1}: "Invalid Message Length",
}

// parseNotification takes the body of a NOTIFICATION. What is too short says nothing, which is code 0.
func parseNotification(body []byte) (n notification) {
	if len(body) >= 2 {
		n.code, n.subcode, n.data = body[0], body[1], body[2:]
	}
	return n
}

// message returns the whole message.
func (n notification) message() message {
	return newMessage(kindNotification, append([]byte{n.code, n.subcode}, n.data...))
}

// Error says in words what the standards say in numbers: "Cease, Administrative Shutdown: "maintenance"".
func (n notification) Error() string {
	words, ok := errorCodes[n.code]
	if !ok {
		return fmt.Sprintf("error %d/%d", n.code, n.subcode)
	}
	if detail, ok := errorSubcodes[[2]uint8{n.code, n.subcode}]; ok {
		words += ", " + detail
	} else if n.subcode != 0 {
		words += fmt.Sprintf(", subcode %d", n.subcode)
	}
	if n.code != cease {
		return words
	}
	switch n.subcode {
	case administrativeShutdown, administrativeReset:
		if text := communication(n.data); text != "" {
			words += ": " + strconv.Quote(text)
		}
	case hardReset:
		// RFC 8538 section 3.1: the real reason is inside. One inside another is nobody's honest message.
		if inner := parseNotification(n.data); inner.code != 0 && (inner.code != cease || inner.subcode != hardReset) {
			words += " (" + inner.Error() + ")"
		}
	}
	return words
}

// communication returns the text that operators send along (RFC 9003): its length in one octet, then UTF-8.
func communication(data []byte) string {
	if len(data) == 0 || int(data[0]) > len(data)-1 || !utf8.Valid(data[1:1+int(data[0])]) {
		return ""
	}
	return strings.TrimSpace(string(data[1 : 1+int(data[0])]))
}
