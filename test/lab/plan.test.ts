import test from 'ava';
import fc from 'fast-check';
import { planLab } from '../../lab/plan.ts';

const IFNAME_MAX = 15;
const hostNames = fc.uniqueArray(
  fc.stringMatching(/^[a-z0-9]{1,8}$/).filter(name => !['client', 'witness', 'lan'].includes(name)),
  { minLength: 1, maxLength: 9 },
);

/** The names of the interfaces that a line makes, each with its namespace. */
function made(line: string, own: string): string[] {
  const pairs = [...line.matchAll(/(?:add|peer) name (\S+)(?: index \d+ netns (\S+))?/g)];
  const tap = /^tuntap add dev (\S+)/.exec(line);
  return [
    ...pairs.map(match => `${match[2] ?? own} ${match[1]}`),
    ...(tap ? [`${own} ${tap[1]}`] : []),
  ];
}

test('interface names fit the kernel and are unique in their namespace, for any hosts', t => {
  const property = fc.property(hostNames, hosts => {
    const plan = planLab('clab012345', hosts);
    const interfaces = [
      ...plan.links.flatMap(line => made(line, '')),
      ...plan.nodes.flatMap(node => node.batch.flatMap(line => made(line, node.namespace))),
    ];
    // Per host: the four ends of two cables, two bridges, far and its peer, the tap. Then two stations and two bridges.
    const expected = 9 * hosts.length + 2 * 2 + 2;
    const fit = interfaces.every(entry => entry.split(' ')[1]!.length <= IFNAME_MAX);
    return fit && interfaces.length === expected && new Set(interfaces).size === expected;
  });
  t.notThrows(() => fc.assert(property, { examples: [[['bridge', 'name', 'wire', 'type']]] }));
});

test('no two ends of a veth pair have the same interface number', t => {
  const plan = planLab('clab012345', ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i']);
  const numbers = plan.links.flatMap(line =>
    [...line.matchAll(/index (\d+)/g)].map(match => match[1]),
  );
  t.is(numbers.length, 2 * (2 * 9 + 2));
  t.is(new Set(numbers).size, numbers.length);
});

test('every line of a namespace that uses an interface comes after the one that makes it', t => {
  const plan = planLab('clab012345', ['a', 'b']);
  for (const node of plan.nodes) {
    const known = new Set(
      plan.links
        .flatMap(line => made(line, ''))
        .filter(entry => entry.startsWith(`${node.namespace} `))
        .concat(`${node.namespace} lo`),
    );
    for (const line of node.batch) {
      // `peer name` belongs to the same line as the pair's other end.
      const used = /^link set dev (\S+)/.exec(line)?.[1];
      if (used) t.true(known.has(`${node.namespace} ${used}`), line);
      for (const entry of made(line, node.namespace)) known.add(entry);
    }
  }
});

for (const hosts of [[], ['a', 'a'], ['client'], ['lan'], ['toolongname'], ['A'], ['a-b'], ['']]) {
  test(`hosts ${JSON.stringify(hosts)} are refused`, t => {
    t.throws(() => planLab('clab012345', hosts), { code: 'CURLING_USAGE' });
  });
}
