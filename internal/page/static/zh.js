// The page's Chinese.

const f = (count) => count.toLocaleString('zh');
const services = (c) => `${f(c)} 个 Service`;
const addresses = (c) => `${f(c)} 个地址`;
const nodes = (c) => `${f(c)} 个节点`;

export default {
  skip: '跳到概览',
  sections: '栏目', overview: '概览', pools: '地址池', services: 'Service', nodes: '节点', sessions: 'BGP',
  takeovers: '接管', conflicts: '冲突', sessionsTitle: 'BGP 会话', conflictsTitle: '地址冲突',
  filterServices: '筛选 Service',
  otherLanguage: 'English', otherLanguageTitle: '用英文显示本页',
  timesExact: '准确时间', timesRelative: '相对时间',

  connecting: '正在连接…', live: '实时', reconnecting: '正在重连…',
  heard: (ago) => `最近一次收到数据：${ago}`,
  saidLive: '页面已恢复实时更新。', saidLost: '与控制器的连接已断开，页面正在重试。',
  lostHint: '显示的内容可能已过时。如果一直连不上，说明端口转发已经结束：请重新运行“kubectl fairlead ui”。',
  newVersion: '控制器已更新，请刷新页面。',

  now: '刚刚', secondsAgo: (c) => `${c} 秒前`, minutesAgo: (c) => `${c} 分钟前`, hoursAgo: (c) => `${c} 小时前`, daysAgo: (c) => `${c} 天前`,
  inSeconds: (c) => `${c} 秒后`, inMinutes: (c) => `${c} 分钟后`, inHours: (c) => `${c} 小时后`, inDays: (c) => `${c} 天后`,
  milliseconds: (c) => `${c} 毫秒`, seconds: (c) => `${c} 秒`,

  loading: '正在等待控制器…',
  allWell: '一切正常',
  wrong: (errors, warnings) => (errors > 0
    ? `有 ${errors} 处故障${warnings > 0 ? `，另有 ${warnings} 处需要留意` : ''}`
    : `有 ${warnings} 处需要留意`),
  'severity.error': '故障', 'severity.warning': '警告', 'severity.note': '提示',

  tileServices: '已有地址的 Service', tileAddresses: '已分配的地址', tileNodes: '可提供服务的节点', tileSessions: '已建立的 BGP 会话', tileTakeover: '最近一次接管',
  of: (a, b) => `${f(a)} / ${f(b)}`,
  none: '无',
  tookOver: (count, from) => `${addresses(count)}${from ? `，来自 ${from}` : ''}`,

  findUnreached: '控制器连不上 API 服务器，显示的内容可能已过时。',
  findNoLeader: '没有控制器担任领导者。已有地址不变，但不会分配新地址。',
  findConflict: (c, first) => (c === 1 ? `有外来主机也在使用 ${first}。` : `有外来主机也在使用 ${addresses(c)}：${first} 等。`),
  findPending: (c, reason) => `${services(c)} 没有地址${reason ? `：${reason}` : '，控制器尚未给出结论'}。`,
  findPartial: (c, reason) => `${services(c)} 缺少所要求的部分地址${reason ? `：${reason}` : ''}。`,
  findUnowned: (c) => `${addresses(c)} 暂时无人应答。`,
  findUnadvertised: (c) => `${addresses(c)} 已分配，但没有以任何方式通告。`,
  findNotReady: (node) => `${node} 未就绪。`,
  findSpeakerLost: (node) => `${node} 上的 speaker 已失联。`,
  findSpeakerStopped: (node) => `${node} 上的 speaker 已停止。`,
  findSpeakerNone: (node) => `${node} 上没有 speaker。`,
  findSuppressed: (node) => `${node} 失联过于频繁，暂时不再接管新地址。`,
  findDraining: (node, owned) => `${node} 正在腾空${owned > 0 ? `，仍持有 ${addresses(owned)}` : ''}。`,
  findTakenOver: (from, c, by, took) => `${from} 曾失联：${by.length > 3 ? nodes(by.length) : by.join('、')} 接管了它的 ${addresses(c)}，最后一个在其静默 ${took}后完成。`,
  findSessions: (peer, down, all) => `与 ${peer} 的 ${all} 个会话中有 ${down} 个未建立。`,
  findPoolFull: (pool, family) => `地址池 ${pool} 已没有空闲的 ${family} 地址。`,
  findPoolNearlyFull: (pool, family, left) => `地址池 ${pool} 只剩 ${left} 个空闲的 ${family} 地址。`,
  more: (c) => `等，另有 ${c} 处`,

  pool: '地址池', noPools: '没有 IPAddressPool：Service 得不到地址。',
  used: (a, b) => `已用 ${a}，共 ${b}`, free: (c) => `空闲 ${c}`, retained: (c) => `为已删除的 Service 保留 ${c}`,
  disabled: '已停用：不再分配新地址', onRequest: '仅按要求分配', poolFor: (who) => `适用于：${who}`, comma: '，', notAdvertised: '未通告',
  usageNow: (family, now) => `${family}：自有记录以来一直使用 ${now} 个`,
  usageChange: (family, first, now, low, high) => `${family}：使用数 ${first} → ${now}，最低 ${low}，最高 ${high}`,
  usageTitle: (pool, since) => `地址池 ${pool} 自 ${since} 以来的使用情况。`,
  chartNow: '现在', showAllPools: (c) => `显示全部 ${c} 个地址池`,
  ranges: '地址', moreRanges: (c) => `另有 ${c} 段`,

  search: '搜索', searchHint: '名称、地址、原因…', searchKey: '按 / 搜索',
  status: '状态', namespace: '命名空间', node: '节点', any: '不限', clear: '清除筛选',
  'status.assigned': '已分配', 'status.partial': '部分分配', 'status.pending': '等待中', 'status.unanswered': '无人应答',
  service: 'Service', address: '地址', mode: '模式', owner: '所有者', age: '始于',
  'mode.layer2': '二层', 'mode.bgp': 'BGP',
  local: 'Local', localTitle: 'externalTrafficPolicy: Local，仅限有就绪端点的节点',
  viaNodes: (c) => `由 ${nodes(c)}通告`, unlisted: '未列出', unlistedTitle: '每个 speaker 只列出前 256 个地址。',
  nobody: '暂无', standIn: (node) => `由 ${node} 代答`, movedFrom: (from) => `来自 ${from}`,
  noServices: '没有由 Fairlead 负责的 LoadBalancer 类型 Service。', noMatch: '没有符合条件的 Service。',
  countAll: (c) => services(c), countSome: (a, b) => `${services(b)}中的 ${f(a)} 个`,
  range: (a, b, c) => `第 ${a}–${b} 个，共 ${f(c)} 个`, previous: '上一页', next: '下一页', pages: '列表翻页',
  gone: '已删除',
  heldBack: '列表已有变化。您在列表中时，顺序保持不变。', showNow: '立即更新',
  servicesCaption: 'LoadBalancer 类型的 Service', nodesCaption: '节点及其持有的地址', sessionsCaption: 'BGP 会话：节点与对等体', conflictsCaption: '被外来主机使用的地址',

  state: '状态', owned: '持有地址数', members: '可见 speaker', speaker: 'Speaker', remarks: '备注',
  ready: '就绪', notReady: '未就绪',
  'speaker.running': '运行中', 'speaker.starting': '启动中', 'speaker.stopped': '已停止', 'speaker.lost': '已失联', 'speaker.none': '无',
  showOwned: (node) => `查看 ${node} 上的 Service`,
  standingIn: (c) => `代答 ${addresses(c)}`,
  suppressed: '受抑制', suppressedWhy: (penalty) => `失联过于频繁（惩罚值 ${penalty}），可重新持有地址的时间：`,
  suppressedBy: (list) => `依据：${list}`,
  'hold.draining': '腾空中', 'hold.excluded': '已排除', 'hold.networkUnavailable': '网络不可用', 'hold.outOfService': '停止服务', 'hold.cordoned': '已封锁',
  noNodes: '尚未发现节点。',

  peerLine: (address, asn) => `${address}，AS ${asn}`,
  'asn.internal': '内部', 'asn.external': '外部',
  established: (a, b) => `${a} / ${b} 已建立`,
  up: '已建立', notSelected: '无会话', notSelectedTitle: '该对等体没有选择此节点。', stale: '未知', was: (state) => `此前为 ${state}`,
  prefixes: (c) => `${f(c)} 条前缀`, bfd: (state) => `BFD ${state}`,
  noSessions: '没有 BGPPeer，地址仅在本网段宣告（二层）。', onlyDown: '只看有会话未建立的节点',
  allUp: '所有会话均已建立。',

  'cause.Lost': '节点失联', 'cause.Left': 'Speaker 离开', 'cause.Moved': '迁移', 'cause.Rebalanced': '重新均衡', 'cause.Settled': '协商归一', 'cause.Elected': '首个所有者',
  takeover: (by, count, from) => `${by.length > 3 ? nodes(by.length) : by.join('、')} ${from ? `从 ${from} ` : ''}接管了 ${addresses(count)}`,
  interrupted: (d) => `中断 ${d}`, interruptedLast: (d) => `最长中断 ${d}`, eachNode: '逐个节点', uninterrupted: '无中断',
  interruptedTitle: '从最后一次听到原所有者，到新所有者完成宣告为止。',
  uninterruptedTitle: '其间原所有者仍在转发。',
  noTakeovers: '没有接管记录。', showOlder: (c) => `显示更早的 ${c} 次`, newTakeovers: (c) => `显示 ${c} 次新的接管`,
  addressesMore: (c) => `另有 ${c} 个`,
  timelineLabel: (c, since) => `自 ${since} 以来共 ${c} 次接管，详见下方列表。`,

  hardware: '外来主机', seenBy: '发现者', conflictState: '状态',
  beforeAnnounced: '在宣告之前发现：该地址已搁置', afterAnnounced: '双方都在应答该地址',
  noConflicts: '就各 speaker 所见，没有外来主机使用地址池中的地址。',

  about: (controller, version) => `由 ${controller} 提供，版本 ${version}。只读。`,
  leaderIs: (leader) => `领导者：${leader}。`,
};
