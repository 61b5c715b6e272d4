/** Whether configuration.toml can be used, and all of it has an effect. */
import { assetProblems } from '../../config/assets.ts';
import { tellKey } from '../../config/effects.ts';
import { type Check, type Finding, failed, ok, warning } from './finding.ts';
import type { Situation } from './situation.ts';

export const configurationFile: Check = {
  name: 'configuration',
  summary: 'configuration.toml can be used, and every key of it is known and has an effect',
  decides: 'create',
  run: (situation) => {
    const findings = [...mistakes(situation), ...withoutEffect(situation)];
    const { file } = situation.inspection;
    return findings.length > 0 ? findings : ok(file ?? 'no file: the defaults hold');
  },
};

function mistakes({ inspection: { errors }, configuration }: Situation): Finding[] {
  // What is wrong with the guest's files is what their own checks tell.
  const told = configuration ? assetProblems(configuration).map(({ message }) => message) : [];
  return errors
    .filter(({ code, message }) => code !== 'failed_precondition' || !told.includes(message))
    .map(({ message }) => failed(message, ''));
}

function withoutEffect({ inspection: { unknown, ignored } }: Situation): Finding[] {
  return [
    ...unknown.map((key) =>
      warning(`${tellKey(key)} is not known, and has no effect`, 'correct its name, or remove it'),
    ),
    // What is set to what holds anyway is missed by nobody.
    ...ignored
      .filter(({ harmless }) => !harmless)
      .map((key) =>
        warning(`${tellKey(key)} has no effect`, 'remove it, or see docs/configuration.md for what there is'),
      ),
  ];
}
