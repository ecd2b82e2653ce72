// The page's English.

const n = (count, one, many) => (count === 1 ? one : `${count.toLocaleString('en')} ${many}`);
const services = (c) => n(c, '1 Service', 'Services');
const addresses = (c) => n(c, '1 address', 'addresses');
const nodes = (c) => n(c, '1 node', 'nodes');
const and = (list) => (list.length === 1 ? list[0] : `${list.slice(0, -1).join(', ')} and ${list[list.length - 1]}`);

export default {
  skip: 'Skip to the overview',
  sections: 'Sections', overview: 'Overview', pools: 'Pools', services: 'Services', nodes: 'Nodes', sessions: 'BGP',
  takeovers: 'Takeovers', conflicts: 'Conflicts', sessionsTitle: 'BGP sessions', conflictsTitle: 'Address conflicts',
  filterServices: 'Filter Services',
  otherLanguage: '中文', otherLanguageTitle: 'Show this page in Chinese',
  timesExact: 'Exact times', timesRelative: 'Relative times',

  connecting: 'Connecting…', live: 'Live', reconnecting: 'Reconnecting…',
  heard: (ago) => `last heard ${ago}`,
  saidLive: 'The page is live again.', saidLost: 'The connection to the controller is lost. The page tries again.',
  lostHint: 'What is shown may be old. If this lasts, the port-forward has ended: run “kubectl fairlead ui” again.',
  newVersion: 'The controller was updated. Reload the page.',

  now: 'just now', secondsAgo: (c) => `${c} s ago`, minutesAgo: (c) => `${c} min ago`, hoursAgo: (c) => `${c} h ago`, daysAgo: (c) => `${c} d ago`,
  inSeconds: (c) => `in ${c} s`, inMinutes: (c) => `in ${c} min`, inHours: (c) => `in ${c} h`, inDays: (c) => `in ${c} d`,
  milliseconds: (c) => `${c} ms`, seconds: (c) => `${c} s`,

  loading: 'Waiting for the controller…',
  allWell: 'Nothing is wrong',
  wrong: (errors, warnings) => (errors > 0
    ? n(errors, '1 thing is wrong', 'things are wrong') + (warnings > 0 ? `, and ${n(warnings, '1 to look at', 'to look at')}` : '')
    : n(warnings, '1 thing to look at', 'things to look at')),
  'severity.error': 'Error', 'severity.warning': 'Warning', 'severity.note': 'Note',

  tileServices: 'Services with an address', tileAddresses: 'Addresses assigned', tileNodes: 'Nodes that serve', tileSessions: 'BGP sessions up', tileTakeover: 'Last takeover',
  of: (a, b) => `${a.toLocaleString('en')} of ${b.toLocaleString('en')}`,
  none: 'none',
  tookOver: (count, from) => `${addresses(count)}${from ? ` from ${from}` : ''}`,

  findUnreached: 'The controller does not reach the API server. What is shown may be old.',
  findNoLeader: 'No controller leads. Addresses stay as they are; nothing new is assigned.',
  findConflict: (c, first) => (c === 1 ? `A foreign host uses ${first} too.` : `Foreign hosts use ${addresses(c)} too: ${first} and others.`),
  findPending: (c, reason) => `${services(c)} ${c === 1 ? 'has' : 'have'} no address${reason ? `: ${reason}` : ', and no word from the controller yet'}.`,
  findPartial: (c, reason) => `${services(c)} ${c === 1 ? 'lacks' : 'lack'} one of the addresses asked for${reason ? `: ${reason}` : ''}.`,
  findUnowned: (c) => `Nobody answers for ${addresses(c)} yet.`,
  findUnadvertised: (c) => `${addresses(c)[0].toUpperCase() + addresses(c).slice(1)} ${c === 1 ? 'is' : 'are'} assigned and advertised in no way.`,
  findNotReady: (node) => `${node} is not ready.`,
  findSpeakerLost: (node) => `The speaker on ${node} is lost.`,
  findSpeakerStopped: (node) => `The speaker on ${node} is stopped.`,
  findSpeakerNone: (node) => `${node} has no speaker.`,
  findSuppressed: (node) => `${node} was lost too often: it owns nothing new for now.`,
  findDraining: (node, owned) => `${node} is draining${owned > 0 ? `, and still owns ${addresses(owned)}` : ''}.`,
  findTakenOver: (from, c, by, took) => `${from} was lost: ${by.length > 3 ? nodes(by.length) : and(by)} took over its ${addresses(c).replace(/^1 /, '')}, the last one ${took} after it fell silent.`,
  findSessions: (peer, down, all) => `${down} of ${n(all, '1 session', 'sessions')} with ${peer} ${down === 1 ? 'is' : 'are'} down.`,
  findPoolFull: (pool, family) => `Pool ${pool} has no free ${family} address.`,
  findPoolNearlyFull: (pool, family, left) => `Pool ${pool} has ${left} free ${family} ${left === '1' ? 'address' : 'addresses'} left.`,
  more: (c) => `and ${c} more`,

  pool: 'Pool', noPools: 'There is no IPAddressPool: no Service can get an address.',
  used: (a, b) => `${a} of ${b} in use`, free: (c) => `${c} free`, retained: (c) => `${c} kept for deleted Services`,
  disabled: 'Disabled: gives nothing new', onRequest: 'On request only', poolFor: (who) => `For: ${who}`, comma: ', ', notAdvertised: 'Not advertised',
  usageNow: (family, now) => `${family}: ${now} in use since the record began`,
  usageChange: (family, first, now, low, high) => `${family}: ${first} → ${now} in use; lowest ${low}, highest ${high}`,
  usageTitle: (pool, since) => `Addresses of pool ${pool} in use since ${since}.`,
  chartNow: 'now', showAllPools: (c) => `Show all ${c} pools`,
  ranges: 'Addresses', moreRanges: (c) => `and ${c} more ranges`,

  search: 'Search', searchHint: 'name, address, reason…', searchKey: 'Press / to search',
  status: 'Status', namespace: 'Namespace', node: 'Node', any: 'any', clear: 'Clear filter',
  'status.assigned': 'Assigned', 'status.partial': 'Partial', 'status.pending': 'Pending', 'status.unanswered': 'Nobody answers',
  service: 'Service', address: 'Address', mode: 'Mode', owner: 'Owner', age: 'Since',
  'mode.layer2': 'Layer 2', 'mode.bgp': 'BGP',
  local: 'Local', localTitle: 'externalTrafficPolicy: Local, only nodes with a ready endpoint',
  viaNodes: (c) => `by ${nodes(c)}`, unlisted: 'not listed', unlistedTitle: 'Speakers list only their first 256 addresses.',
  nobody: 'nobody yet', standIn: (node) => `${node} stands in`, movedFrom: (from) => `from ${from}`,
  noServices: 'There is no Service of type LoadBalancer for Fairlead.', noMatch: 'No Service matches.',
  countAll: (c) => services(c), countSome: (a, b) => `${a.toLocaleString('en')} of ${services(b)}`,
  range: (a, b, c) => `${a}–${b} of ${c.toLocaleString('en')}`, previous: 'Previous', next: 'Next', pages: 'Pages of the list',
  gone: 'gone',
  heldBack: 'The list has changed. Its order is kept while you are in it.', showNow: 'Show now',
  servicesCaption: 'Services of type LoadBalancer', nodesCaption: 'Nodes and what they own', sessionsCaption: 'BGP sessions, nodes by peers', conflictsCaption: 'Addresses that foreign hosts use',

  state: 'State', owned: 'Addresses owned', members: 'Speakers seen', speaker: 'Speaker', remarks: 'Remarks',
  ready: 'Ready', notReady: 'Not ready',
  'speaker.running': 'running', 'speaker.starting': 'starting', 'speaker.stopped': 'stopped', 'speaker.lost': 'lost', 'speaker.none': 'none',
  showOwned: (node) => `Show the Services of ${node}`,
  standingIn: (c) => `stands in for ${addresses(c)}`,
  suppressed: 'Suppressed', suppressedWhy: (penalty) => `lost too often (penalty ${penalty}); may own addresses again`,
  suppressedBy: (list) => `as seen by ${list}`,
  'hold.draining': 'Draining', 'hold.excluded': 'Excluded', 'hold.networkUnavailable': 'Network unavailable', 'hold.outOfService': 'Out of service', 'hold.cordoned': 'Cordoned',
  noNodes: 'No node is known yet.',

  peerLine: (address, asn) => `${address}, AS ${asn}`,
  'asn.internal': 'internal', 'asn.external': 'external',
  established: (a, b) => `${a} of ${b} up`,
  up: 'Established', notSelected: 'no session', notSelectedTitle: 'The peer does not select this node.', stale: 'Unknown', was: (state) => `was ${state}`,
  prefixes: (c) => n(c, '1 prefix', 'prefixes'), bfd: (state) => `BFD ${state}`,
  noSessions: 'There is no BGPPeer. Addresses are announced on the segment only (layer 2).', onlyDown: 'Only nodes with a session that is not up',
  allUp: 'Every session is up.',

  'cause.Lost': 'Node lost', 'cause.Left': 'Speaker left', 'cause.Moved': 'Moved', 'cause.Rebalanced': 'Rebalanced', 'cause.Settled': 'Settled', 'cause.Elected': 'First owner',
  takeover: (by, count, from) => `${by.length > 3 ? nodes(by.length) : and(by)} took over ${addresses(count)}${from ? ` from ${from}` : ''}`,
  interrupted: (d) => `${d} until it answered`, interruptedLast: (d) => `${d} until the last one answered`, eachNode: 'Node by node', uninterrupted: 'no interruption',
  interruptedTitle: 'From when the owner before was last heard until the new one had announced the addresses.',
  uninterruptedTitle: 'The owner before went on forwarding meanwhile.',
  noTakeovers: 'No takeover is on record.', showOlder: (c) => `Show ${c} older`, newTakeovers: (c) => `Show ${n(c, '1 new takeover', 'new takeovers')}`,
  addressesMore: (c) => `and ${c} more`,
  timelineLabel: (c, since) => `${n(c, '1 takeover', 'takeovers')} since ${since}; each is listed below.`,

  hardware: 'Foreign host', seenBy: 'Seen by', conflictState: 'State',
  beforeAnnounced: 'Found before it was announced: set aside', afterAnnounced: 'Both answer for the address',
  noConflicts: 'No foreign host uses an address of the pools, as far as the speakers see.',

  about: (controller, version) => `Served by ${controller}, version ${version}. Read-only.`,
  leaderIs: (leader) => `${leader} leads.`,
};
